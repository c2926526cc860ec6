package kv

import (
	"encoding/binary"
	"fmt"

	"github.com/musterhq/muster/statemachine"
)

// Caller is who sent a request. The zero Caller is somebody who didn't say.
type Caller struct {
	Name string // of a user
	// Revision of [Auth] at which the name was established; 0: it was not.
	// A request is refused if users or roles changed since.
	Revision uint64
}

// EncodeAs makes a command that says who sent it, out of one that doesn't. It
// is carried out only if the caller may do that when it is applied. Commands
// without a caller are refused while authentication is enabled, but for what
// leaders do with leases by themselves, and for those of which the member that
// proposes them has to ask: compactions, alarms, and grants of leases.
//
//	+----+-------------------+------+-------------------+---------+
//	| op | length (uvarint)  | name | revision (uvarint)| command |
//	+----+-------------------+------+-------------------+---------+
func EncodeAs(c Caller, command []byte) []byte {
	out := make([]byte, 0, 1+2*binary.MaxVarintLen64+len(c.Name)+len(command))
	out = append(out, opAs)
	out = binary.AppendUvarint(out, uint64(len(c.Name)))
	out = append(out, c.Name...)
	out = binary.AppendUvarint(out, c.Revision)
	return append(out, command...)
}

// splitCaller undoes EncodeAs. What it gets may be a command without a caller.
func splitCaller(command []byte) (c Caller, inner []byte, ok bool) {
	if len(command) == 0 || command[0] != opAs {
		return Caller{}, command, true
	}
	b := command[1:]
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return Caller{}, nil, false
	}
	name := b[n : n+int(size)]
	b = b[n+int(size):]
	revision, n := binary.Uvarint(b)
	if n <= 0 || len(b) == n || b[n] == opAs {
		return Caller{}, nil, false
	}
	return Caller{Name: string(name), Revision: revision}, b[n:], true
}

// obey carries out a command if alarms allow it and its caller may do that, by
// what holds at this point of the log. Alarms come first, as in etcd.
func (a *applier) obey(e statemachine.Entry) (Reply, error) {
	caller, command, ok := splitCaller(e.Command)
	if !ok {
		return Reply{Err: ErrBadCommand}, nil
	}
	e.Command = command
	if len(command) > 0 {
		if refusal := a.refusedByAlarm(command[0], command[1:]); refusal != nil {
			return Reply{Err: refusal}, nil
		}
	}
	if auth := a.known.auth.now(); auth.enabled && len(command) > 0 {
		refusal, err := a.mayRun(auth, caller, e)
		if refusal != nil || err != nil {
			return Reply{Err: refusal}, err
		}
	}
	return a.dispatch(e)
}

func unknownCommand(e statemachine.Entry) error {
	return fmt.Errorf("log entry %d holds a command of kind %d, which this version does not know: "+
		"a newer one wrote it; run that version on this member", e.Index, e.Command[0])
}
