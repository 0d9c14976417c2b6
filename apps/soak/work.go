package main

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"math/rand/v2"
	"runtime"
	"slices"
	"sort"
	"time"
)

// kind is one sort of work. do works on numbers derived from seed and checks the result.
type kind struct {
	name string
	do   func(seed uint64) error
}

var kinds = []kind{
	{"sha256", hash},
	{"flate", compress},
	{"json", encode},
	{"nil dereference", dereference},
	{"timers", timers},
	{"threads", threads},
	{"big numbers", bigNumbers},
	{"sorting and maps", sorting},
}

// numbers is a source of the same random numbers for the same seed.
func numbers(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// hash hashes a block whole and in pieces, and one with a digest that is known.
func hash(seed uint64) error {
	r := numbers(seed)
	b := make([]byte, 1+r.IntN(64<<10))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	whole := sha256.Sum256(b)
	h := sha256.New()
	for rest := b; len(rest) > 0; {
		n := min(1+r.IntN(4096), len(rest))
		h.Write(rest[:n])
		rest = rest[n:]
	}
	if got := h.Sum(nil); !bytes.Equal(got, whole[:]) {
		return fmt.Errorf("in pieces %x, whole %x", got, whole)
	}
	const known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	if abc := sha256.Sum256([]byte("abc")); hex.EncodeToString(abc[:]) != known {
		return fmt.Errorf("of abc: got %x, want %s", abc, known)
	}
	return nil
}

// compress compresses text and expands it again.
func compress(seed uint64) error {
	r := numbers(seed)
	var text bytes.Buffer
	for range 500 {
		fmt.Fprintf(&text, "%d nonkernel %d ", r.IntN(100), r.IntN(1_000_000))
	}
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, 1+r.IntN(9))
	if err != nil {
		return err
	}
	if _, err := w.Write(text.Bytes()); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	got, err := io.ReadAll(flate.NewReader(&packed))
	if err != nil || !bytes.Equal(got, text.Bytes()) {
		return fmt.Errorf("expanded to %d bytes of %d: %v", len(got), text.Len(), err)
	}
	return nil
}

type record struct {
	Name   string             `json:"name"`
	Values []float64          `json:"values"`
	Parts  map[string]*record `json:"parts,omitempty"`
}

// encode writes a structure as JSON and reads it back.
func encode(seed uint64) error {
	r := numbers(seed)
	var make func(depth int) *record
	make = func(depth int) *record {
		rec := &record{Name: fmt.Sprint("record ", r.IntN(1000)), Parts: map[string]*record{}}
		for range r.IntN(10) {
			rec.Values = append(rec.Values, r.NormFloat64())
		}
		for i := range depth {
			rec.Parts[fmt.Sprint(i)] = make(i)
		}
		return rec
	}
	first, err := json.Marshal(make(5))
	if err != nil {
		return err
	}
	var back record
	if err := json.Unmarshal(first, &back); err != nil {
		return err
	}
	second, err := json.Marshal(&back)
	if err != nil || !bytes.Equal(first, second) {
		return fmt.Errorf("the second encoding differs: %d and %d bytes, %v", len(first), len(second), err)
	}
	return nil
}

// dereference recovers from a nil dereference some calls deep: the processor's fault becomes a signal, then a Go panic.
func dereference(seed uint64) error {
	var fall func(depth uint64, p *record) string
	fall = func(depth uint64, p *record) string {
		if depth > 0 {
			return fall(depth-1, p)
		}
		return p.Name
	}
	var fault runtime.Error
	func() {
		defer func() { fault, _ = recover().(runtime.Error) }()
		fall(seed%100, nil)
	}()
	if fault == nil {
		return errors.New("a nil pointer was dereferenced without a fault")
	}
	return nil
}

// timers sleeps and holds the clock to its word: it never goes back, and nobody wakes early.
func timers(seed uint64) error {
	d := time.Duration(seed%3000) * time.Microsecond
	start := time.Now()
	select {
	case <-time.After(d):
	case <-time.After(d + time.Minute):
		return errors.New("the later timer fired first")
	}
	if slept := time.Since(start); slept < d {
		return fmt.Errorf("slept %v of %v", slept, d)
	}
	return nil
}

// threads starts an operating system thread that ends with its goroutine.
func threads(seed uint64) error {
	sum := make(chan uint64)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends too
		total := uint64(0)
		for i := range seed % 10_000 {
			total += i
			if i%1000 == 0 {
				runtime.Gosched()
			}
		}
		sum <- total
	}()
	n := seed % 10_000
	if got, want := <-sum, (n*n-n)/2; got != want {
		return fmt.Errorf("the sum below %d is %d, want %d", n, got, want)
	}
	return nil
}

// bigNumbers divides and multiplies back, and raises to a power as Fermat has it.
func bigNumbers(seed uint64) error {
	r := numbers(seed)
	random := func(words int) *big.Int {
		n := new(big.Int)
		for range words {
			n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(r.Uint64()|1))
		}
		return n
	}
	a, b := random(1+r.IntN(60)), random(1+r.IntN(30))
	quotient, remainder := new(big.Int).QuoRem(a, b, new(big.Int))
	if back := new(big.Int).Mul(quotient, b); back.Add(back, remainder).Cmp(a) != 0 {
		return fmt.Errorf("%v divided by %v and multiplied back is %v", a, b, back)
	}
	prime := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 127), big.NewInt(1)) // 2^127 - 1
	base := new(big.Int).Mod(a, prime)
	if base.Sign() == 0 {
		return nil
	}
	power := new(big.Int).Exp(base, new(big.Int).Sub(prime, big.NewInt(1)), prime)
	if power.Cmp(big.NewInt(1)) != 0 {
		return fmt.Errorf("%v to the power p-1 is %v modulo p", base, power)
	}
	return nil
}

// sorting sorts in two ways and counts in a map.
func sorting(seed uint64) error {
	r := numbers(seed)
	a := make([]int, 2000)
	count := map[int]int{}
	for i := range a {
		a[i] = r.IntN(1000)
		count[a[i]]++
	}
	b := slices.Clone(a)
	slices.Sort(a)
	sort.Slice(b, func(i, k int) bool { return b[i] < b[k] })
	if !slices.Equal(a, b) {
		return errors.New("two ways to sort give different orders")
	}
	for _, n := range slices.Sorted(maps.Keys(count)) {
		if at, _ := slices.BinarySearch(a, n); !slices.Equal(a[at:at+count[n]], slices.Repeat([]int{n}, count[n])) {
			return fmt.Errorf("%d should stand there %d times", n, count[n])
		}
	}
	return nil
}
