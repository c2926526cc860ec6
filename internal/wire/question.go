package wire

import (
	"encoding/binary"
	"fmt"
)

// MaxQuestion bounds a question, and its answer, in bytes.
const MaxQuestion = 4 << 20

// Question is one that a member's embedder asks another's. Numbers are the
// asker's, and differ on one connection.
//
//	+-----------------+----------+
//	| number (8, LE)  | question |
//	+-----------------+----------+
type Question struct {
	Number uint64
	Body   []byte
}

// Answer is what came of it.
//
//	+-----------------+--------------+------+
//	| number (8, LE)  | verdict (1)  | body |
//	+-----------------+--------------+------+
//
// A frame without any payload says only that the answerer is there.
type Answer struct {
	Number  uint64
	Verdict Verdict
	Body    []byte // the answer; else why there is none, as text
}

// Verdict tells what an answer is. Other values than these are of a newer
// version, and as good as Failed.
type Verdict byte

const (
	Answered Verdict = 0
	Failed   Verdict = 1 // the question was looked at, and answered with an error
	Declined Verdict = 2 // it was not looked at
	Busy     Verdict = 3 // it was not looked at: too many are
)

// AppendQuestion appends the frame of a question.
func AppendQuestion(dst []byte, q Question) []byte {
	return AppendFrame(dst, KindQuestion, append(binary.LittleEndian.AppendUint64(make([]byte, 0, 8+len(q.Body)), q.Number), q.Body...))
}

// AppendGivenUp appends the frame which says that nobody waits for the answer
// to a question any more.
func AppendGivenUp(dst []byte, number uint64) []byte {
	return AppendFrame(dst, KindGivenUp, binary.LittleEndian.AppendUint64(nil, number))
}

// AppendAnswer appends the frame of an answer.
func AppendAnswer(dst []byte, a Answer) []byte {
	payload := binary.LittleEndian.AppendUint64(make([]byte, 0, 9+len(a.Body)), a.Number)
	return AppendFrame(dst, KindAnswer, append(append(payload, byte(a.Verdict)), a.Body...))
}

// DecodeQuestion reads the payload of a question's frame, or of one that says
// it was given up. Body aliases it.
func DecodeQuestion(payload []byte) (Question, error) {
	if len(payload) < 8 {
		return Question{}, fmt.Errorf("%w: question of %d bytes", ErrCorruptFrame, len(payload))
	}
	return Question{Number: binary.LittleEndian.Uint64(payload), Body: payload[8:]}, nil
}

// DecodeAnswer reads the payload of an answer's frame. Body aliases it.
func DecodeAnswer(payload []byte) (Answer, error) {
	if len(payload) < 9 {
		return Answer{}, fmt.Errorf("%w: answer of %d bytes", ErrCorruptFrame, len(payload))
	}
	return Answer{Number: binary.LittleEndian.Uint64(payload), Verdict: Verdict(payload[8]), Body: payload[9:]}, nil
}
