package library

import (
	"os"
	"testing"
)

func TestAnswer(t *testing.T) {
	b, err := os.ReadFile("testdata/answer")
	if err != nil || string(b) != "42\n" {
		t.Errorf("got %q, %v; want 42", b, err)
	}
}
