-- MariaDB names itself in it.
SELECT VERSION()
