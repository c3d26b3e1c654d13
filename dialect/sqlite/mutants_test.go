package sqlite

import (
	"bytes"
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// mutant is one mistake in one statement, and the contract of the suite that must find it.
type mutant struct{ file, right, wrong, contract string }

// mutants drop every condition and every assignment that matters, one at a time: what shows that the suite can fail.
var mutants = []mutant{
	{"create_lease", "clock() + ?3", "clock() + 2 * ?3", "precision/1.234s"},
	{"renew_lease", "AND expires_at > clock()", "", "leases/what_has_run_out_is_not_renewed"},
	{"renew_lease", "clock() + ttl", "expires_at + ttl", "leases/a_renewal_is_for_the_TTL_of_that_lease"},
	{"renew_lease", "clock() + ttl", "expires_at", "leases/renewals_keep_it_alive"},
	{"bury_lease", "AND expires_at <= clock()", "", "leases/a_new_lease_lives_for_its_TTL"},
	{"bury_lease", "AND expires_at <= clock()", "AND created_at + ttl <= clock()", "leases/renewals_keep_it_alive"},
	{"bury_lease", "AND expires_at <= clock()", "AND expires_at <= clock() + 10000000", "leases/dead_is_for_ever"},
	{"bury_lease", "clock() - expires_at", "expires_at - clock()", "precision/overdue"},
	{"lease_left", "expires_at - clock()", "ttl", "leases/a_new_lease_lives_for_its_TTL"},
	{"bury_expired", "WHERE expires_at <= clock()", "", "leases/bury_expired"},
	{"bury_expired", "LIMIT ?1", "LIMIT ?1 + 1", "leases/bury_expired"},
	{"delete_lease", "WHERE id = ?1", "", "leases/delete"},

	{"acquire", "lock.lease_id IS NULL AND", "", "acquire/held_by_another"},
	{"acquire", "lock.lease_id IS NULL AND", "", "holder"},
	{"acquire", "lock.lease_id IS NULL", "lock.lease_id NOT IN (SELECT id FROM sqllock_leases)", "acquire/held_by_a_dead_lease"},
	{"acquire", "AND lock.free_at <= clock()", "", "delay/HoldAtLeast_outlives_a_release"},
	{"acquire", "OR lock.owner = excluded.owner", "", "acquire/sent_again"},
	{"acquire", "lock.owner = excluded.owner", "lock.lease_id = excluded.lease_id", "acquire/held_by_another"},
	{"acquire", "max(lock.fence + 1, excluded.fence)", "excluded.fence", "clock/previous"},
	{"acquire", "max(lock.fence + 1, excluded.fence)", "lock.fence + 1", "fences/they_are_the_clock's"},
	{"acquire", "max(lock.fence + 1, excluded.fence)", "max(lock.fence, excluded.fence)", "clock/previous"},
	{"acquire", "(?1, ?2, clock(),", "(?1, ?2, 1,", "fences/over_a_purge"},
	{"acquire", "clock() + ?6", "clock()", "delay/HoldAtLeast_outlives_a_release"},
	{"acquire", "= excluded.free_at", "= lock.free_at", "delay/HoldAtLeast_outlives_a_release"},
	{"acquire", "= excluded.lock_delay", "= lock.lock_delay", "delay/LockDelay"},
	{"acquire", "= excluded.acquired_at", "= lock.acquired_at", "look/the_moment"},
	{"acquire", "= excluded.note", "= lock.note", "acquire/freed_and_taken"},
	{"acquire", "= excluded.lease_id", "= lock.lease_id", "acquire/freed_and_taken"},
	{"acquire", "= excluded.owner", "= lock.owner", "acquire/freed_and_taken"},

	{"release", "AND owner = ?3", "AND ?3 <> ''", "release/not_a_stranger's"},
	{"release", "AND owner = ?3", "AND ?3 <> '' AND owner IS NOT NULL", "release/not_the_one_before"},
	{"release", "AND slot = ?2", "AND ?2 >= 0", "release/not_a_stranger's"},
	{"release", "lease_id = NULL,", "", "release/once"},
	{"release", "owner    = NULL,", "", "release/once"},
	{"release", "max(free_at, clock())", "clock()", "delay/HoldAtLeast_outlives_a_release"},
	{"release", "max(free_at, clock())", "free_at", "purge"},
	{"release", "max(free_at, clock())", "clock() + lock_delay", "delay/LockDelay_is_nothing"},

	{"acquire_many", "lock.lease_id IS NULL AND", "", "slices/acquire"},
	{"acquire_many", "AND lock.free_at <= clock()", "", "slices/acquire"},
	{"acquire_many", "OR lock.owner = excluded.owner", "", "slices/acquire"},
	{"acquire_many", "lock.owner = excluded.owner", "lock.slot = excluded.slot", "slices/acquire"},
	{"acquire_many", "max(lock.fence + 1, excluded.fence)", "excluded.fence", "clock/together"},
	{"acquire_many", "max(lock.fence + 1, excluded.fence)", "lock.fence + 1", "clock/together"},
	{"acquire_many", "value ->> 1, clock(),", "value ->> 1, 1,", "slices/as_each_alone"},
	{"acquire_many", "clock() + (value ->> 5)", "clock()", "slices/as_each_alone"},
	{"acquire_many", "value ->> 6", "0", "slices/as_each_alone"},
	{"acquire_many", "= excluded.free_at", "= lock.free_at", "slices/as_each_alone"},
	{"acquire_many", "= excluded.lock_delay", "= lock.lock_delay", "slices/as_each_alone"},
	{"acquire_many", "= excluded.note", "= lock.note", "slices/as_each_alone"},
	{"acquire_many", "= excluded.acquired_at", "= lock.acquired_at", "slices/as_each_alone"},
	{"acquire_many", "= excluded.lease_id", "= lock.lease_id", "slices/as_each_alone"},
	{"acquire_many", "= excluded.owner", "= lock.owner", "slices/as_each_alone"},

	{"release_many", "AND l.owner = asked.value ->> 2", "", "slices/release_and_free"},
	{"release_many", "AND l.slot = asked.value ->> 1", "", "slices/as_each_alone"},
	{"release_many", "lease_id = NULL,", "", "slices/as_each_alone"},
	{"release_many", "owner    = NULL,", "", "slices/release_and_free"},
	{"release_many", "max(l.free_at, clock())", "clock()", "slices/as_each_alone"},
	{"release_many", "max(l.free_at, clock())", "l.free_at", "slices/as_each_alone"},
	{"release_many", "= excluded.free_at", "= free_at", "slices/as_each_alone"},

	{"guard", "AND owner = ?3", "AND ?3 <> ''", "guard/a_lost_lock"},
	{"guard", "SET owner = owner", "SET fence = fence + 1", "guard/changes_nothing"},

	{"raise", "AND owner = ?3", "AND ?3 <> ''", "raise/not_a_stranger's"},
	{"raise", "AND owner = ?3", "AND ?3 <> '' AND owner IS NOT NULL", "raise/each_by_itself"},
	{"raise", "AND slot = ?2", "AND ?2 >= 0", "raise/not_a_stranger's"},
	{"raise", "max(fence, ?4)", "?4", "raise/by_its_owner"},
	{"raise", "max(fence, ?4)", "max(fence + 1, ?4)", "raise/by_its_owner"},
	{"raise", "max(fence, ?4)", "max(fence, ?4), free_at = 0", "raise/by_its_owner"},
	{"raise", "max(fence, ?4)", "max(fence, ?4), note = ''", "raise/by_its_owner"},
	{"raise", "max(fence, ?4)", "fence + 0 * ?4", "raise/lasts_over_a_release"},
	{"raise", "AND owner = ?3", "AND owner = ?3 AND EXISTS (SELECT 1 FROM sqllock_leases WHERE id = lease_id)", "raise/lasts_over_a_takeover"},
	{"raise", "AND owner = ?3", "AND owner = ?3 AND fence < ?4", "raise/by_its_owner"},
	{"purge", "AND fence < clock()", "", "raise/lasts_over_a_release"},

	{"free", "AND fence = ?3", "AND ?3 >= 0", "free/only_as_it_was_seen"},
	{"free", "AND lease_id = ?4", "AND ?4 <> ''", "free/only_as_it_was_seen"},
	{"free", "AND slot = ?2", "AND ?2 >= 0", "free/only_as_it_was_seen"},
	{"free", "owner    = NULL,", "", "free/once"},
	{"free", "+ lock_delay", "", "delay/LockDelay_counts"},
	{"free", "- ?5", "", "delay/LockDelay_counts"},
	{"free", "max(free_at, clock(), clock()", "max(clock(), clock()", "delay/the_longer"},

	{"free", "free_at, clock(),", "free_at,", "purge/freed_rows"},

	{"look", "LEFT JOIN", "JOIN", "release/once"},
	{"look", "AND l.slot = ?2", "AND ?2 >= 0", "acquire/slots"},
	{"look", "WHERE l.name = ?1", "WHERE l.name = ?1 COLLATE NOCASE", "text/every_name"},
	{"list", "(l.name, l.slot) > (?1, ?2)", "(l.name, l.slot) >= (?1, ?2)", "list"},
	{"list", "(l.name, l.slot) > (?1, ?2)", "l.name > ?1 AND ?2 >= 0", "list"},
	{"list", "(l.name, l.slot) > (?1, ?2)", "l.name > ?1 AND l.slot > ?2", "list"},
	{"list", "l.lease_id IS NOT NULL OR NOT ?3", "?3 IN (0, 1)", "list"},
	{"list", "ORDER BY l.name", "ORDER BY l.name COLLATE NOCASE", "list"},
	{"list", "LEFT JOIN", "JOIN", "list"},

	{"purge", "WHERE lease_id IS NULL\n      AND", "WHERE", "purge"},
	{"purge", "free_at < clock() - ?1", "?1 >= 0", "purge"},
	{"purge", "clock() - ?1", "clock() + 0 * ?1", "purge"},
	{"purge", "AND fence < clock()", "", "clock/never_purged"},
	{"purge", "LIMIT ?2", "LIMIT ?2 + 1", "purge"},

	{"enqueue", "SET owner = excluded.owner", "SET ticket = excluded.ticket", "waiters/sent_again"},
	{"enqueue", "AND before.ticket < sqllock_waiters.ticket", "", "waiters/first"},
	{"enqueue", "AND e.expires_at > clock()", "", "waiters/those_before"},
	{"dequeue", "AND owner = ?3", "AND ?3 <> ''", "waiters/out_of_it"},
	{"queue", "ORDER BY w.ticket", "ORDER BY w.ticket DESC", "waiters/first"},
	{"queue", "LIMIT ?3", "LIMIT ?3 + 1", "queue/only_so_many"},
	{"queue", "AND e.expires_at > clock()", "", "queue/only_the_living"},
	{"queue", "WHERE w.name = ?1", "WHERE ?1 <> ''", "queue/only_that_lock's"},
	{"enqueue", "clock(), ?6)", "clock(), '')", "holding/what_it_tells"},
	{"holding", "w.ticket > ?1", "?1 >= 0", "holding/page_by_page"},
	{"holding", "w.ticket > ?1", "w.ticket >= ?1", "holding/page_by_page"},
	{"holding", "AND w.holds <> ''", "", "holding/only_the_living"},
	{"holding", "AND e.expires_at > clock()", "", "holding/only_the_living"},
	{"holding", "ORDER BY w.ticket", "ORDER BY w.ticket DESC", "holding/page_by_page"},
	{"holding", "LIMIT ?2", "LIMIT ?2 + 1", "holding/page_by_page"},
	{"pass", "AND owner = ?3", "AND ?3 <> ''", "pass/refused"},
	{"pass", "AND free_at <= clock()", "", "pass/not_before"},
	{"pass", "AND w.lease_id <> ?4", "", "pass/beside_others"},
	{"pass", "AND e.expires_at > clock()", "", "pass/beside_others"},
	{"pass", "WHERE w.name = ?1", "WHERE ?1 <> ''", "pass/beside_others"},
	{"pass", "= clock() + ?7", "= clock()", "pass/given_on"},
	{"pass", "max(fence + 1, clock())", "fence", "pass/given_on"},
	{"pass", "lease_id    = ?4,", "", "pass/given_on"},
	{"pass", "note        = ?6,", "", "pass/given_on"},
	{"purge_waiters", "AND e.expires_at > clock()", "", "purge_waiters"},
	{"purge_waiters", "LIMIT ?1", "LIMIT ?1 + 1", "purge_waiters"},

	{"recall", "keep_until > clock()", "1", "outcomes/for_as_long"},
	{"recall", "WHERE name = ?1", "WHERE name = ?1 COLLATE NOCASE", "outcomes/every_name"},
	{"remember", "WHERE o.keep_until <= clock()", "", "outcomes/the_first_one"},
	{"remember", "WHERE o.keep_until <= clock()", "WHERE o.keep_until <= clock() OR o.fence <> excluded.fence", "outcomes/all_at"},
	{"remember", "clock() + ?5", "clock() + ?5 / 2", "outcomes/for_as_long"},
	{"remember", "= excluded.fence", "= o.fence", "outcomes/for_as_long"},
	{"remember", "= excluded.result", "= o.result", "outcomes/for_as_long"},
	{"remember", "= excluded.keep_until", "= o.keep_until", "outcomes/for_as_long"},
	{"claim_outcome", "(?1, 0, 0, x'', clock(), 0)", "(?1, 0, 0, x'', clock(), clock() + 60000000)", "claims/Serializable/not_without"},
	{"claim_outcome", "keep_until > clock()", "0", "claims/Serializable/with_the_commit"},
	{"claim_outcome", "SET fence = o.fence", "SET keep_until = clock()", "claims/Serializable/with_the_commit"},
	{"settle_outcome", "AND keep_until <= clock()", "", "claims/not_claimed"},
	{"settle_outcome", "WHERE name = ?1", "WHERE ?1 <> ''", "claims/several"},
	{"settle_outcome", "clock() + ?5", "clock()", "claims/Serializable/with_the_commit"},
	{"settle_outcome", "result     = ?4", "result     = x'00'", "claims/Serializable/with_the_commit"},
	{"purge_outcomes", "WHERE keep_until <= clock()", "WHERE true", "purge_outcomes"},
	{"purge_outcomes", "LIMIT ?1", "LIMIT ?1 + 1", "purge_outcomes"},
}

const mutantEnv = "SQLLOCK_TEST_MUTANT"

// mutated is New, with the mistake that the environment names.
func mutated(db *sql.DB) *Dialect {
	d := New(db)
	if name := os.Getenv(mutantEnv); name != "" {
		for _, m := range mutants {
			if m.name() == name {
				d.sql = gather(m.load)
			}
		}
	}
	return d
}

func (m mutant) name() string { return m.file + ": " + m.right + " -> " + m.wrong }

func (m mutant) load(file string) string {
	text := load(file)
	if file == m.file {
		clocked := func(s string) string { return strings.ReplaceAll(s, "clock()", clock) }
		text = strings.ReplaceAll(text, clocked(m.right), clocked(m.wrong))
	}
	return text
}

// tries a mistake has to hide: some contracts need a machine that doesn't stand still to find theirs.
const tries = 3

// TestMutants runs the contract that must find each mistake, and expects it to fail: in a process of its own, since a
// failing test can't be taken back.
func TestMutants(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutants {
		t.Run(m.name(), func(t *testing.T) {
			t.Parallel()
			if m.load(m.file) == load(m.file) {
				t.Fatalf("%s.sql has no %q", m.file, m.right)
			}
			for try := 1; ; try++ {
				out, found := m.found(t, program)
				if found {
					return
				}
				if try == tries {
					t.Fatalf("not found by contract %s in %d tries:\n%s", m.contract, tries, out)
				}
			}
		})
	}
}

// found runs the mistake's contract, and tells whether it failed.
func (m mutant) found(t *testing.T, program string) (out []byte, found bool) {
	contract, sub, _ := strings.Cut(m.contract, "/")
	run := exec.CommandContext(t.Context(), program, "-test.run=^TestConformance$/"+contract+"/"+sub, "-test.v")
	run.Env = append(os.Environ(), mutantEnv+"="+m.name())
	out, err := run.CombinedOutput()
	_, failed := errors.AsType[*exec.ExitError](err)
	return out, failed && bytes.Contains(out, []byte("--- FAIL: TestConformance/"+contract))
}
