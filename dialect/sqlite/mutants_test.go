package sqlite

import (
	"bytes"
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/sqllock/sqllock/dialect/dialecttest/long"
)

// mutant is one mistake in one statement, and the contract of the suite that must find it.
// Alternatives in one statement are separated by " & ".
type mutant struct{ file, right, wrong, contract string }

// mutants drop every condition and every assignment that matters, one at a time. They show that the
// suite can fail.
var mutants = []mutant{
	{"create_lease", "clock() + ?3", "clock() + 2 * ?3", "precision/1.234s"},
	{"renew_lease", "AND expires_at > clock()", "", "leases/what_has_run_out_is_not_renewed"},
	{"renew_lease", "clock() + ttl", "expires_at + ttl", "leases/a_renewal_is_for_the_TTL_of_that_lease"},
	{"renew_lease", "clock() + ttl", "expires_at", "leases/renewals_keep_it_alive"},
	{"expire_lease", "expires_at <= clock() OR", "true OR", "leases/a_new_lease_lives_for_its_TTL"},
	{"expire_lease", "expires_at <= clock() OR", "created_at + ttl <= clock() OR", "leases/renewals_keep_it_alive"},
	{"expire_lease", "expires_at <= clock() OR", "expires_at <= clock() + 10000000 OR", "leases/dead_is_for_ever"},
	{"expire_lease", "OR renewed_at = ?2", "OR ?2 > 0", "steps/a_lease_that_isn't_renewed"},
	{"expire_lease", "OR renewed_at = ?2", "OR ?2 > 9000000000000000", "steps/a_lease_that_isn't_renewed"},
	{"expire_lease", "min(expires_at, clock())", "expires_at", "steps/a_lease_that_isn't_renewed"},
	{"expire_lease", "min(expires_at, clock())", "clock()", "precision/expired_for"},
	{"expire_lease", "'ended.' || id", "'gone.' || id", "leases/when_it_ran_out"},
	{"see_lease", "expires_at - clock()", "clock() - expires_at", "precision/expired_for"},
	{"overlong_leases", "clock() + ttl", "clock()", "steps/a_lease_that_lasts"},
	{"overlong_leases", "clock() + ttl", "clock() + 2 * ttl + 1000000000000", "steps/a_lease_that_lasts"},
	{"overlong_leases", "LIMIT ?1", "LIMIT ?1 + 1", "steps/a_lease_that_lasts"},
	{"see_lease", "expires_at - clock()", "ttl", "leases/a_new_lease_lives_for_its_TTL"},
	{"see_lease", "id <> ?1", "0 * length(?1)", "leases/dead_is_for_ever"},
	{"delete_expired", "clock() - ?1", "clock() - 0 * ?1", "leases/when_it_ran_out"},
	{"delete_expired", "expires_at <= clock() - ?1", "?1 >= 0", "leases/delete_expired"},
	{"delete_expired", "LIMIT ?2", "LIMIT ?2 + 1", "leases/delete_expired"},
	{"delete_lease", "WHERE id = ?1", "", "leases/delete"},

	{"acquire", "lock.lease_id IS NULL AND", "", "acquire/held_by_another"},
	{"acquire", "lock.lease_id IS NULL AND", "", "holder"},
	{
		"acquire", "lock.lease_id IS NULL", "lock.lease_id NOT IN (SELECT id FROM sqllock_leases)",
		"acquire/held_by_a_dead_lease",
	},
	{"acquire", "AND lock.free_at <= clock()", "", "delay/HoldAtLeast_outlives_a_release"},
	{"acquire", "OR lock.owner = excluded.owner", "", "acquire/sent_again"},
	{"acquire", "lock.owner = excluded.owner", "lock.lease_id = excluded.lease_id", "acquire/held_by_another"},
	{"acquire", "max(lock.fence + 1, excluded.fence)", "excluded.fence", "clock/previous"},
	{"acquire", "max(lock.fence + 1, excluded.fence)", "lock.fence + 1", "fences/they_are_the_clock's"},
	{"acquire", "max(lock.fence + 1, excluded.fence)", "max(lock.fence, excluded.fence)", "clock/previous"},
	{"acquire", "(?1, ?2, clock(),", "(?1, ?2, 1,", "fences/over_a_purge"},
	{"acquire", "iif(?6 > 0, clock() + ?6, 0)", "clock() + ?6", "steps/no_bar"},
	{"acquire", "clock() + ?6", "clock()", "delay/HoldAtLeast_outlives_a_release"},
	{"acquire", "= excluded.free_at", "= lock.free_at", "delay/HoldAtLeast_outlives_a_release"},
	{"acquire", "= excluded.lock_delay", "= lock.lock_delay", "delay/LockDelay"},
	{"acquire", "= excluded.acquired_at", "= lock.acquired_at", "get/the_moment"},
	{"acquire", "= excluded.note", "= lock.note", "acquire/freed_and_taken"},
	{"acquire", "= excluded.lease_id", "= lock.lease_id", "acquire/freed_and_taken"},
	{"acquire", "= excluded.owner", "= lock.owner", "acquire/freed_and_taken"},

	{"release", "AND owner = ?3", "AND ?3 <> ''", "release/not_by_another_owner"},
	{"release", "AND owner = ?3", "AND ?3 <> '' AND owner IS NOT NULL", "release/not_the_one_before"},
	{"release", "AND slot = ?2", "AND ?2 >= 0", "release/not_by_another_owner"},
	{"release", "lease_id    = NULL,", "", "release/once"},
	{"release", "owner       = NULL,", "", "release/once"},
	{"release", "iif(free_at > clock(), free_at, 0)", "max(free_at, clock())", "steps/no_bar"},
	{"release", "iif(free_at > clock(), acquired_at, clock())", "clock()", "steps/a_bar_has"},
	{"release", "lock_delay  = 0", "lock_delay = lock_delay", "steps/a_bar_has"},
	{"release", "iif(free_at > clock(), free_at, 0)", "0", "delay/HoldAtLeast_outlives_a_release"},
	{"release", "iif(free_at > clock(), acquired_at, clock())", "acquired_at", "purge"},
	{"release", "iif(free_at > clock(), free_at, 0)", "clock() + lock_delay", "delay/LockDelay_is_nothing"},

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

	{
		"release_many", "AND l.owner = asked.value ->> 2 & WHERE lock.owner = excluded.owner", "",
		"slices/release_and_free",
	},
	{"release_many", "AND l.slot = asked.value ->> 1", "", "slices/as_each_alone"},
	{"release_many", "lease_id    = NULL,", "", "slices/as_each_alone"},
	{"release_many", "owner       = NULL,", "", "slices/release_and_free"},
	{"release_many", "iif(lock.free_at > clock(), lock.free_at, 0)", "max(lock.free_at, clock())", "steps/no_bar"},
	{"release_many", "iif(lock.free_at > clock(), lock.acquired_at, clock())", "clock()", "steps/a_bar_has"},
	{"release_many", "iif(lock.free_at > clock(), lock.free_at, 0)", "0", "slices/as_each_alone"},
	{
		"release_many", "iif(lock.free_at > clock(), lock.acquired_at, clock())", "lock.acquired_at",
		"slices/as_each_alone",
	},

	{"guard", "AND owner = ?3", "AND ?3 <> ''", "guard/a_lost_lock"},
	{"guard", "SET owner = owner", "SET fence = fence + 1", "guard/changes_nothing"},

	{"advance_fence", "AND owner = ?3", "AND ?3 <> ''", "advance_fence/not_by_another_owner"},
	{"advance_fence", "AND owner = ?3", "AND ?3 <> '' AND owner IS NOT NULL", "advance_fence/each_by_itself"},
	{"advance_fence", "AND slot = ?2", "AND ?2 >= 0", "advance_fence/not_by_another_owner"},
	{"advance_fence", "max(fence, ?4)", "?4", "advance_fence/by_its_owner"},
	{"advance_fence", "max(fence, ?4)", "max(fence + 1, ?4)", "advance_fence/by_its_owner"},
	{"advance_fence", "max(fence, ?4)", "max(fence, ?4), free_at = 0", "advance_fence/by_its_owner"},
	{"advance_fence", "max(fence, ?4)", "max(fence, ?4), note = ''", "advance_fence/by_its_owner"},
	{"advance_fence", "max(fence, ?4)", "fence + 0 * ?4", "advance_fence/lasts_over_a_release"},
	{
		"advance_fence", "AND owner = ?3",
		"AND owner = ?3 AND EXISTS (SELECT 1 FROM sqllock_leases WHERE id = lease_id)",
		"advance_fence/lasts_over_a_takeover",
	},
	{"advance_fence", "AND owner = ?3", "AND owner = ?3 AND fence < ?4", "advance_fence/by_its_owner"},
	{"purge", "AND fence < clock()", "", "advance_fence/lasts_over_a_release"},

	{"free", "AND fence = ?3", "AND ?3 >= 0", "free/only_as_it_was_seen"},
	{"free", "AND lease_id = ?4", "AND ?4 <> ''", "free/only_as_it_was_seen"},
	{"free", "AND slot = ?2", "AND ?2 >= 0", "free/only_as_it_was_seen"},
	{"free", "owner       = NULL,", "", "free/once"},
	{"free", "clock() + lock_delay - ?5", "clock() - 0 * ?5", "delay/LockDelay_counts"},
	{"free", "clock() + lock_delay - ?5", "clock() + lock_delay", "delay/LockDelay_counts"},
	{"free", "acquired_at, clock())", "clock(), clock())", "steps/a_bar_has"},
	{"free", "lock_delay  = 0", "lock_delay = lock_delay", "steps/a_bar_has"},
	{"free", "ELSE 0 END", "ELSE clock() END", "steps/no_bar"},
	{"free", "THEN free_at", "THEN 0", "delay/the_longer"},

	{"end_bar", "AND fence = ?3", "AND ?3 > 0", "steps/a_bar_that_is_over"},
	{"end_bar", "AND lease_id IS NULL", "", "steps/a_bar_that_is_over"},
	{"end_bar", "AND slot = ?2", "AND ?2 >= 0", "steps/a_bar_that_is_over"},
	{"end_bar", "AND free_at > clock()", "", "steps/a_bar_that_is_over"},
	{"end_bar", "free_at     = 0", "free_at = free_at", "steps/a_bar_that_is_over"},
	{"get", "max(l.free_at - l.acquired_at, l.lock_delay)", "l.lock_delay", "steps/a_bar_has"},
	{"free", "acquired_at, clock())", "acquired_at, acquired_at)", "purge/freed_rows"},

	{"get", "LEFT JOIN", "JOIN", "release/once"},
	{"get", "AND l.slot = ?2", "AND ?2 >= 0", "acquire/slots"},
	{"get", "WHERE l.name = ?1", "WHERE l.name = ?1 COLLATE NOCASE", "text/every_name"},
	{"list", "(l.name, l.slot) > (?1, ?2)", "(l.name, l.slot) >= (?1, ?2)", "list"},
	{"list", "(l.name, l.slot) > (?1, ?2)", "l.name > ?1 AND ?2 >= 0", "list"},
	{"list", "(l.name, l.slot) > (?1, ?2)", "l.name > ?1 AND l.slot > ?2", "list"},
	{"list", "l.lease_id IS NOT NULL OR NOT ?3", "?3 IN (0, 1)", "list"},
	{"list", "ORDER BY l.name", "ORDER BY l.name COLLATE NOCASE", "list"},
	{"list", "LEFT JOIN", "JOIN", "list"},

	{"purge", "lease_id IS NULL", "true", "purge"},
	{"purge", "max(free_at, acquired_at)", "free_at", "purge"},
	{"purge", "max(free_at, acquired_at)", "acquired_at", "purge"},
	{"purge", "clock() - ?1", "clock() + 0 * ?1", "purge"},
	{"purge", "AND fence < clock()", "", "clock/never_purged"},
	{"purge", "LIMIT ?2", "LIMIT ?2 + 1", "purge"},

	{"enqueue", "SET owner = excluded.owner", "SET ticket = excluded.ticket", "waiters/sent_again"},
	{"enqueue", "AND before.ticket < sqllock_waiters.ticket", "", "waiters/first"},
	{"enqueue", "AND e.expires_at > clock()", "", "waiters/dead_ones_before"},
	{"dequeue", "AND owner = ?3", "AND ?3 <> ''", "waiters/out_of_it"},
	{"queue", "ORDER BY w.ticket", "ORDER BY w.ticket DESC", "waiters/first"},
	{"queue", "LIMIT ?3", "LIMIT ?3 + 1", "queue/only_so_many"},
	{"queue", "AND e.expires_at > clock()", "", "queue/only_live_ones"},
	{"queue", "WHERE w.name = ?1", "WHERE ?1 <> ''", "queue/only_that_lock's"},
	{"enqueue", "clock(), ?6)", "clock(), '')", "waiting_holders/what_it_returns"},
	{"list_waiters", "w.ticket > ?1", "?1 >= 0", "list_waiters/page_by_page"},
	{"list_waiters", "w.ticket > ?1", "w.ticket >= ?1", "list_waiters/page_by_page"},
	{"list_waiters", "AND w.holds = ''", "", "list_waiters/only_live_ones"},
	{"list_waiters", "AND e.expires_at > clock()", "", "list_waiters/only_live_ones"},
	{"list_waiters", "ORDER BY w.ticket", "ORDER BY w.ticket DESC", "list_waiters/page_by_page"},
	{"list_waiters", "LIMIT ?2", "LIMIT ?2 + 1", "list_waiters/page_by_page"},
	{"waiting_holders", "w.ticket > ?1", "?1 >= 0", "waiting_holders/page_by_page"},
	{"waiting_holders", "w.ticket > ?1", "w.ticket >= ?1", "waiting_holders/page_by_page"},
	{"waiting_holders", "AND w.holds <> ''", "", "waiting_holders/only_live_ones"},
	{"waiting_holders", "AND e.expires_at > clock()", "", "waiting_holders/only_live_ones"},
	{"waiting_holders", "ORDER BY w.ticket", "ORDER BY w.ticket DESC", "waiting_holders/page_by_page"},
	{"waiting_holders", "LIMIT ?2", "LIMIT ?2 + 1", "waiting_holders/page_by_page"},
	{"transfer", "AND owner = ?3", "AND ?3 <> ''", "transfer/refused"},
	{"transfer", "AND free_at <= clock()", "", "transfer/not_before"},
	{"transfer", "AND w.lease_id <> ?4", "", "transfer/beside_other"},
	{"transfer", "AND e.expires_at > clock()", "", "transfer/beside_other"},
	{"transfer", "WHERE w.name = ?1", "WHERE ?1 <> ''", "transfer/beside_other"},
	{"transfer", "iif(?7 > 0, clock() + ?7, 0)", "0 * ?7", "transfer/to_the_next"},
	{"transfer", "iif(?7 > 0, clock() + ?7, 0)", "clock() + ?7", "steps/no_bar"},
	{"transfer", "max(fence + 1, clock())", "fence", "transfer/to_the_next"},
	{"transfer", "lease_id    = ?4,", "", "transfer/to_the_next"},
	{"transfer", "note        = ?6,", "", "transfer/to_the_next"},
	{"purge_waiters", "AND e.expires_at > clock()", "", "purge_waiters"},
	{"purge_waiters", "LIMIT ?1", "LIMIT ?1 + 1", "purge_waiters"},

	{"recall", "keep_until > clock()", "1", "outcomes/for_as_long"},
	{"recall", "WHERE name = ?1", "WHERE name = ?1 COLLATE NOCASE", "outcomes/every_name"},
	{"remember", "WHERE o.keep_until <= clock()", "", "outcomes/the_first_one"},
	{
		"remember", "WHERE o.keep_until <= clock()", "WHERE o.keep_until <= clock() OR o.fence <> excluded.fence",
		"outcomes/all_at",
	},
	{"remember", "clock() + ?5", "clock() + ?5 / 2", "outcomes/for_as_long"},
	{"remember", "= excluded.fence", "= o.fence", "outcomes/for_as_long"},
	{"remember", "= excluded.result", "= o.result", "outcomes/for_as_long"},
	{"remember", "= excluded.keep_until", "= o.keep_until", "outcomes/for_as_long"},
	{
		"claim_outcome", "(?1, 0, 0, x'', clock(), 0)", "(?1, 0, 0, x'', clock(), clock() + 60000000)",
		"claims/Serializable/not_without",
	},
	{"claim_outcome", "keep_until > clock()", "0", "claims/Serializable/with_the_commit"},
	{"claim_outcome", "SET fence = o.fence", "SET keep_until = clock()", "claims/Serializable/with_the_commit"},
	{"remember_tx", "AND keep_until <= clock()", "", "claims/not_claimed"},
	{"remember_tx", "WHERE name = ?1", "WHERE ?1 <> ''", "claims/several"},
	{"remember_tx", "clock() + ?5", "clock()", "claims/Serializable/with_the_commit"},
	{"remember_tx", "result     = ?4", "result     = x'00'", "claims/Serializable/with_the_commit"},
	{"purge_outcomes", "keep_until <= clock()", "true", "purge_outcomes"},
	{"purge_outcomes", "LIMIT ?1", "LIMIT ?1 + 1", "purge_outcomes"},

	{"record_break", "INSERT INTO", "INSERT OR IGNORE INTO", "breaks/no_break_without"},
	{"record_break", "?11, clock())", "?11, 0)", "breaks/as_a_release"},
	{"record_break", "?9, ?10, ?11", "?10, ?9, ?11", "breaks/as_a_release"},
	{"record_break", "?7, ?8", "'', ?8", "breaks/as_a_release"},
	{"see_break", "WHERE id = ?1", "WHERE id = ?1 AND 0", "breaks/sent_again"},
	{"see_break", "WHERE id = ?1", "WHERE ?1 <> ''", "breaks/each_by_itself"},
	{"list_breaks", "WHERE name = ?1", "WHERE ?1 <> ''", "breaks/each_by_itself"},
	{"list_breaks", "broken_at DESC", "broken_at", "breaks/only_so_many"},
	{"list_breaks", "LIMIT ?2", "LIMIT ?2 + 1", "breaks/only_so_many"},
	{"purge_breaks", "clock() - ?1", "clock() + 0 * ?1", "purge_breaks"},
	{"purge_breaks", "LIMIT ?2", "LIMIT ?2 + 1", "purge_breaks"},
}

const mutantEnv = "SQLLOCK_TEST_MUTANT"

// mutated is New, with the mistake that the environment names.
func mutated(db *sql.DB) *Dialect {
	d := New(db)
	if name := os.Getenv(mutantEnv); name != "" {
		for _, m := range mutants {
			if m.name() == name {
				d.sql = loadQueries(m.load)
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
		for right := range strings.SplitSeq(m.right, " & ") {
			text = strings.ReplaceAll(text, clocked(right), clocked(m.wrong))
		}
	}
	return text
}

// tries is how often a mistake may stay undetected: some contracts find theirs only on a machine
// that doesn't stand still.
const tries = 3

// TestMutants runs the contract that must find each mistake, and expects it to fail. It runs in a
// process of its own, since the failure of a test can't be undone.
func TestMutants(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, m := range mutants {
		if seen[m.file] && !long.Enabled { // make test has the first of each statement
			continue
		}
		seen[m.file] = true
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

// found runs the mistake's contract, and reports whether it failed.
func (m mutant) found(t *testing.T, program string) (out []byte, found bool) {
	contract, sub, _ := strings.Cut(m.contract, "/")
	run := exec.CommandContext(t.Context(), program, "-test.run=^TestConformance$/"+contract+"/"+sub, "-test.v")
	run.Env = append(os.Environ(), mutantEnv+"="+m.name())
	out, err := run.CombinedOutput()
	_, failed := errors.AsType[*exec.ExitError](err)
	return out, failed && bytes.Contains(out, []byte("--- FAIL: TestConformance/"+contract))
}
