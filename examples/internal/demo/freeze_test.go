//go:build unix

package demo

import "testing"

func TestFreezeAndThaw(t *testing.T) {
	s := newDemo(t)
	if err := s.Start("a", "idle"); err != nil {
		t.Fatal(err)
	}
	l, err := s.FreezeAt(t.Context(), "is idle")
	if want := (Line{"a", "is idle"}); err != nil || l != want {
		t.Fatalf("FreezeAt = %v, %v; want %v", l, err, want)
	}
	if err := s.Thaw("a"); err != nil {
		t.Error(err)
	}
}

func TestWritable(t *testing.T) {
	s := newDemo(t)
	if !Writable(t.Context(), s.DB.DB) {
		t.Error("an idle database isn't writable")
	}
	tx, err := s.DB.DB.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(t.Context(), "DELETE FROM sqllock_leases"); err != nil {
		t.Fatal(err)
	}
	if Writable(t.Context(), s.DB.DB) {
		t.Error("a database is writable during another transaction's write")
	}
}
