package main

import (
	"testing"
	"time"
)

func TestKinds(t *testing.T) {
	for _, k := range kinds {
		for seed := range uint64(5) {
			if err := k.do(seed); err != nil {
				t.Errorf("%s, seed %d: %v", k.name, seed, err)
			}
		}
	}
}

func TestSoak(t *testing.T) {
	n, err := soak(200 * time.Millisecond)
	if err != nil || n == 0 {
		t.Errorf("got %d operations, %v", n, err)
	}
}
