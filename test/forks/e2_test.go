package main

import "testing"

func TestE2SixWhereThreeWereExpected(t *testing.T) { comesOutRight(t, "E2") }
