// Command hello is built by the tests of package image.
package main

import "fmt"

func main() { fmt.Println(greeting) }
