-- MariaDB names itself in the version.
SELECT VERSION()
