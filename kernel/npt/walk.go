package npt

// Visit calls f for each last-level entry that is not zero, in rising order; for tests and checks.
func (t *Tables) Visit(f func(gpa uint64, e Entry, size uint64)) {
	t.visit(t.Root, 3, 0, f)
}

func (t *Tables) visit(pa uint64, level int, base uint64, f func(gpa uint64, e Entry, size uint64)) {
	for i, word := range t.source.Table(pa) {
		e := Entry(word)
		if e == 0 {
			continue
		}
		size := uint64(Size4K) << (9 * level)
		gpa := base + uint64(i)*size
		if level > 0 && e.Present() && e&PS == 0 {
			t.visit(e.Addr(), level-1, gpa, f)
			continue
		}
		f(gpa, e, size)
	}
}

// Destroy takes the tables apart from below: it calls leaf for each page that was mapped and frees the tables. No vCPU
// may use them any more. It stops after about budget entries and says whether it is done; then the tables are gone.
func (t *Tables) Destroy(budget int, leaf func(e Entry, size uint64)) (done bool) {
	for budget > 0 {
		used, empty := t.destroy(t.Root, 3, leaf)
		budget -= used
		if empty {
			t.source.Free(t.Root)
			t.Count--
			t.Root = 0
			return true
		}
	}
	return false
}

// destroy clears the next stretch of the table at pa: the rest of it up to and with the first table beneath. The
// cursors remember how far each level has come, so that no entry is looked at twice.
func (t *Tables) destroy(pa uint64, level int, leaf func(e Entry, size uint64)) (used int, empty bool) {
	table := t.source.Table(pa)
	for ; t.cursor[level] < 512; t.cursor[level]++ {
		slot := &table[t.cursor[level]]
		e := Entry(*slot)
		used++
		if !e.Present() {
			continue
		}
		if level == 0 || e&PS != 0 {
			leaf(e, Size4K<<(9*level))
			*slot = 0
			if e&PS != 0 {
				used += 512 // what it costs to free so many pages
			}
			if level > 0 && used > 512 {
				t.cursor[level]++
				return used, false
			}
			continue
		}
		n, done := t.destroy(e.Addr(), level-1, leaf)
		used += n
		if !done {
			return used, false
		}
		t.source.Free(e.Addr())
		t.Count--
		*slot = 0
		t.cursor[level-1] = 0
		t.cursor[level]++
		return used, false
	}
	return used, true
}
