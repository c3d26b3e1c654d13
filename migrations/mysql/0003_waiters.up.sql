-- The waiters of each lock, in the order of their tickets. A row here doesn't mean that the waiter
-- holds the lock. Times are UTC. Without AUTO_ID_CACHE, which other servers take for a comment,
-- each server of TiDB would give out tickets of its own.
CREATE TABLE sqllock_waiters (
    ticket   BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name     VARCHAR(255) NOT NULL,
    slot     INT          NOT NULL,
    lease_id VARCHAR(64)  NOT NULL,
    owner    VARCHAR(64)  NOT NULL COMMENT 'unique to each acquisition',
    note     VARCHAR(255) NOT NULL,
    since    DATETIME(6)  NOT NULL,
    holds    MEDIUMTEXT   NOT NULL COMMENT 'owners of the locks that it holds meanwhile',
    UNIQUE KEY sqllock_waiters_owner (owner),
    KEY sqllock_waiters_queue (name, slot, ticket)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin /*T![auto_id_cache] AUTO_ID_CACHE 1 */;
