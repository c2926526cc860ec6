package replica

import (
	"fmt"

	"go.etcd.io/raft/v3"
)

// Silent is a logger for raft that says nothing, and panics where raft would: in
// a simulation, and over a log that is only read.
type Silent struct{}

var _ raft.Logger = Silent{}

// Debug implements raft.Logger.
func (Silent) Debug(...any) {}

// Debugf implements raft.Logger.
func (Silent) Debugf(string, ...any) {}

// Info implements raft.Logger.
func (Silent) Info(...any) {}

// Infof implements raft.Logger.
func (Silent) Infof(string, ...any) {}

// Warning implements raft.Logger.
func (Silent) Warning(...any) {}

// Warningf implements raft.Logger.
func (Silent) Warningf(string, ...any) {}

// Error implements raft.Logger.
func (Silent) Error(...any) {}

// Errorf implements raft.Logger.
func (Silent) Errorf(string, ...any) {}

// Fatal implements raft.Logger.
func (Silent) Fatal(v ...any) { panic(fmt.Sprint(v...)) }

// Fatalf implements raft.Logger.
func (Silent) Fatalf(f string, v ...any) { panic(fmt.Sprintf(f, v...)) }

// Panic implements raft.Logger.
func (Silent) Panic(v ...any) { panic(fmt.Sprint(v...)) }

// Panicf implements raft.Logger.
func (Silent) Panicf(f string, v ...any) { panic(fmt.Sprintf(f, v...)) }
