package main

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// eventDescriptor makes an eventfd that a poller reports with data.
func eventDescriptor(t *testing.T, poller, data uint64, how uint32) uint64 {
	t.Helper()
	fd := platformCall(sysEventfd2, 0, oNonblock)
	event := make([]byte, eventLen)
	store32(addressOf(&event[0]), how)
	store64(addressOf(&event[0])+4, data)
	if r := epollCtl(poller, 1, fd, addressOf(&event[0])); r != 0 {
		t.Fatalf("epoll_ctl: %#x", r)
	}
	return fd
}

// polled is the data of what a poller reports.
func polled(t *testing.T, poller, most uint64) []uint64 {
	t.Helper()
	b := make([]byte, 100*eventLen)
	n := pollReady(poller, addressOf(&b[0]), most)
	var got []uint64
	for i := range n {
		got = append(got, load64(addressOf(&b[i*eventLen+4])))
	}
	return got
}

func TestNews(t *testing.T) {
	fakeMachine(t, 100, nil)
	const edge = epollIn | epollET
	a, b := eventDescriptor(t, 90, 1, edge), eventDescriptor(t, 90, 2, edge)
	level, other := eventDescriptor(t, 90, 3, epollIn), eventDescriptor(t, 91, 4, edge)
	for _, c := range []struct {
		what   string
		do     func()
		poller uint64
		most   uint64
		want   []uint64
	}{
		{"nothing happened", func() {}, 90, 9, nil},
		{"in the order in which it happened", func() { signalDescriptor(b, 1); signalDescriptor(a, 1) }, 90, 9, []uint64{1, 2}},
		{"an edge is reported once", func() {}, 90, 9, nil},
		{"and again, oldest first", func() { signalDescriptor(b, 1); signalDescriptor(a, 1) }, 90, 1, []uint64{2}},
		{"the rest stays", func() {}, 90, 9, []uint64{1}},
		{"a level is reported", func() { signalDescriptor(level, 1) }, 90, 9, []uint64{3}},
		{"as long as it is there", func() {}, 90, 9, []uint64{3}},
		{"and no longer", func() { descriptors[level].count = 0 }, 90, 9, nil},
		{"another poller's", func() { signalDescriptor(other, 1) }, 90, 9, nil},
		{"is for that one", func() {}, 91, 9, []uint64{4}},
		{"a closed one is forgotten", func() { signalDescriptor(a, 1); closeDescriptor(&descriptors[a]) }, 90, 9, nil},
		{"its number is somebody else's", func() { signalDescriptor(eventDescriptor(t, 90, 5, edge), 1) }, 90, 9, []uint64{5}},
		{"one that is not registered any more", func() { signalDescriptor(b, 1); epollCtl(90, epollDel, b, 0) }, 90, 9, nil},
	} {
		c.do()
		got := polled(t, c.poller, c.most)
		if c.what == "in the order in which it happened" { // they were registered in the other order, and not reported since
			slices.Sort(got)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.what, got, c.want)
		}
		checkNews(t)
	}
}

// checkNews walks through the list.
func checkNews(t *testing.T) {
	t.Helper()
	in, last := 0, uint16(0)
	for e := news.first; e != 0 && in <= maxDescriptors; in++ {
		last = e
		if e = news.next[e-1]; e == endOfNews {
			e = 0
		}
	}
	marked := 0
	for _, n := range news.next {
		if n != 0 {
			marked++
		}
	}
	if in != marked || last != news.last {
		t.Fatalf("%d are in the list that ends with %d, and %d are marked, the last of them %d", in, last, marked, news.last)
	}
}

// TestNewsAtRandom compares with what a walk through all descriptors finds.
func TestNewsAtRandom(t *testing.T) {
	fakeMachine(t, 100, nil)
	random := rand.New(rand.NewPCG(1, 2))
	var open []uint64
	for range 5000 {
		switch k := random.IntN(10); {
		case k < 2 && len(open) < 50:
			open = append(open, eventDescriptor(t, 90+random.Uint64N(2), random.Uint64(), []uint32{epollIn, epollIn | epollET}[random.IntN(2)]))
		case k < 3 && len(open) > 0:
			i := random.IntN(len(open))
			closeDescriptor(&descriptors[open[i]])
			open = slices.Delete(open, i, i+1)
		case k < 8 && len(open) > 0:
			signalDescriptor(open[random.IntN(len(open))], 1)
		case k < 9 && len(open) > 0:
			descriptors[open[random.IntN(len(open))]].count = 0
		default:
			poller := 90 + random.Uint64N(2)
			var want []uint64
			for _, d := range descriptors[:usedDescriptors] {
				if d.polled && uint64(d.poller) == poller && (d.fresh || !d.edge) && readyEvents(&d) != 0 {
					want = append(want, d.data)
				}
			}
			got := polled(t, poller, 100)
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Fatalf("got %d descriptors, want %d", len(got), len(want))
			}
		}
		checkNews(t)
	}
}

// TestVectorDescriptors raises a vector that no, one, and several descriptors stand for.
func TestVectorDescriptors(t *testing.T) {
	fakeMachine(t, 100, nil)
	const v = 0x77
	vectorCount[v], vectorHolder[v] = 0, 0
	count := func(fd uint64) uint64 { return descriptors[fd].count }
	raiseVector(v)
	a := openVector(v)
	raiseVector(v)
	if count(a) != 2 {
		t.Errorf("one raised before and one after it was opened: got %d", count(a))
	}
	b := openVector(v)
	raiseVector(v)
	if count(a) != 3 || count(b) != 1 {
		t.Errorf("opened twice: got %d and %d, want 3 and 1", count(a), count(b))
	}
	closeDescriptor(&descriptors[b])
	c := duplicate(a, 3)
	raiseVector(v)
	if count(a) != 4 || count(c) != 4 {
		t.Errorf("a duplicate: got %d and %d, want 4 and 4", count(a), count(c))
	}
	closeDescriptor(&descriptors[a])
	closeDescriptor(&descriptors[c])
	raiseVector(v)
	a = openVector(v)
	d := duplicate(a, 3)
	closeDescriptor(&descriptors[a])
	raiseVector(v)
	if count(d) != 2 {
		t.Errorf("the duplicate of one that was closed: got %d, want 2", count(d))
	}
}
