// Package library is built by the tests of package image. It is no program, and has a test that reads a file.
package library

// Answer is the answer.
const Answer = 42
