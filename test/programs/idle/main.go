// Idle sleeps for a second and ends: what it costs is what any container costs.
package main

import "time"

func main() { time.Sleep(time.Second) }
