package main

// What pollers look at. A program with many connections has many descriptors, of which few have news: those stand in a list, so
// that a poll costs what there is to report, and not what is open. Guarded by kernelLock.

// news are the numbers of descriptors that a poller may have to report, oldest first. Numbers are kept as one more, 0 is none.
// A number stays, even if its descriptor is closed, until a poll finds nothing to do for it; no number is in the list twice.
var news struct {
	first, last uint16
	next        [maxDescriptors]uint16 // 0: it is not in the list
}

// pollWaiters is how many threads are blocked until a poller has news.
var pollWaiters uint64

const endOfNews = 0xffff

// noteNews puts a descriptor into the list.
func noteNews(fd uint64) {
	if news.next[fd] != 0 {
		return
	}
	news.next[fd] = endOfNews
	if news.last == 0 {
		news.first = uint16(fd + 1)
	} else {
		news.next[news.last-1] = uint16(fd + 1)
	}
	news.last = uint16(fd + 1)
}

// dropNews takes number e out of the list, in which it follows number before.
func dropNews(before, e uint16) {
	after := news.next[e-1]
	news.next[e-1] = 0
	if after == endOfNews {
		news.last = before
	}
	switch {
	case before != 0:
		news.next[before-1] = after
	case after == endOfNews:
		news.first = 0
	default:
		news.first = after
	}
}

// happened notes that something happened to a descriptor.
func happened(fd uint64) {
	descriptors[fd].fresh = true
	if descriptors[fd].polled {
		noteNews(fd)
	}
}

// tellPoller notes that something happened to a descriptor, and wakes who waits for its poller. Those of the other program sleep on.
func tellPoller(fd uint64) {
	happened(fd)
	d := &descriptors[fd]
	if !d.polled || pollWaiters == 0 {
		return
	}
	for i := uint64(1); i < threadsMade; i++ {
		if t := threads[i]; t != nil && t.state == threadBlocked && t.wait == waitPoll && t.waitAddr == uint64(d.poller) {
			ready(t)
		}
	}
}

// pollReady writes the events of a poller's descriptors, at most so many, to the program's memory, and returns how many they were.
// One that reports levels stays in the list as long as it is registered.
func pollReady(poller, events, most uint64) uint64 {
	n := uint64(0)
	before := uint16(0)
	for e := news.first; e != 0 && n < most; {
		after := news.next[e-1]
		if after == endOfNews {
			after = 0
		}
		d := &descriptors[e-1]
		keep := d.polled && (d.fresh || !d.edge)
		if keep && uint64(d.poller) == poller {
			if ready := readyEvents(d); ready != 0 {
				if !userWords(events, eventLen, true) {
					if n == 0 {
						return errno(eFAULT)
					}
					return n
				}
				d.fresh = false
				store32(events, ready)
				store64(events+4, d.data)
				events += eventLen
				n++
				keep = !d.edge
			}
		}
		if keep {
			before = e
		} else {
			dropNews(before, e)
		}
		e = after
	}
	return n
}
