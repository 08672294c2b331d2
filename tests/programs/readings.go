// SPDX-License-Identifier: Apache-2.0

// As readings.c, by Go's own runtime.
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

func main() {
	n, _ := strconv.Atoi(os.Args[1])
	start := time.Now()
	for i := 0; i < n; i++ {
		time.Since(start)
	}
	fmt.Println("EXIT-SUCCESS")
}
