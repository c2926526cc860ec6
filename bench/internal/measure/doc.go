// Package measure runs closed-loop load, counts what it did, and lays out what
// several systems did side by side.
//
// It knows no system: what one operation is, and how the CPU time of whoever
// serves it is read, come in as functions. It is not a profiler and keeps no
// history between runs.
//
// Invariants: every system gets the same load from the same code; an operation
// counts when it ended inside the measured window, whenever it began; a failed
// operation is counted and never enters a rate or a latency.
package measure
