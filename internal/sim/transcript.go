package sim

import (
	"encoding/binary"
	"fmt"
	"hash"
	"hash/fnv"
	"io"
	"slices"
)

// transcript is what has happened: all of it as a hash, its end in words.
type transcript struct {
	sum  hash.Hash64
	tail []string // a ring
	next int
	buf  []byte
	out  io.Writer // all of it in words; nil: nobody reads it
}

// tailLines is how much of a transcript is kept in words.
const tailLines = 400

func newTranscript() transcript { return transcript{sum: fnv.New64a()} }

// note puts a turn into the hash.
func (w *World) note(e *turn) {
	t := &w.transcript
	t.buf = binary.LittleEndian.AppendUint64(t.buf[:0], uint64(e.at))
	t.buf = append(t.buf, e.what...)
	if e.who != nil {
		t.buf = append(t.buf, e.who.node.host...)
	}
	t.sum.Write(t.buf)
}

// say puts a line into the transcript.
func (w *World) say(format string, args ...any) {
	t := &w.transcript
	line := fmt.Sprintf("%8.3fs ", float64(w.now)/float64(second)) + fmt.Sprintf(format, args...)
	t.sum.Write([]byte(line))
	if t.out != nil {
		fmt.Fprintln(t.out, line)
	}
	if len(t.tail) < tailLines {
		t.tail = append(t.tail, line)
		return
	}
	t.tail[t.next] = line
	t.next = (t.next + 1) % tailLines
}

// whisper puts a line into the transcript for those alone who read all of it.
func (w *World) whisper(format string, args ...any) {
	if out := w.transcript.out; out != nil {
		fmt.Fprintf(out, "%8.3fs     %s\n", float64(w.now)/float64(second), fmt.Sprintf(format, args...))
	}
}

// end is the transcript's last lines, oldest first.
func (t *transcript) end() []string {
	return slices.Concat(t.tail[t.next:], t.tail[:t.next])
}
