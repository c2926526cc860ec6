package etcdapi

import (
	"crypto/rand"
	"math/big"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/musterhq/muster/kv"
)

// DefaultTokenTTL is how long a token holds that nobody uses, as in etcd.
const DefaultTokenTTL = 5 * time.Minute

var _ kv.Tokens = (*Tokens)(nil)

// Tokens are etcd's simple tokens: random texts that stand for a user. Every
// member hears of all by the log, and each lets those end that were not used
// with it for a while. A member that starts anew knows none; clients then
// authenticate again. Its methods are safe for concurrent use.
type Tokens struct {
	ttl time.Duration

	mu     sync.Mutex
	byText map[string]token
	sweep  time.Time // when to look for those that have ended
}

type token struct {
	user string
	end  time.Time
}

// NewTokens returns none yet, which will hold for ttl; 0 is [DefaultTokenTTL].
func NewTokens(ttl time.Duration) *Tokens {
	if ttl <= 0 {
		ttl = DefaultTokenTTL
	}
	return &Tokens{ttl: ttl, byText: map[string]token{}}
}

// Grant implements kv.Tokens.
func (t *Tokens) Grant(text, user string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.byText[text] = token{user, now.Add(t.ttl)}
	if now.Before(t.sweep) {
		return
	}
	t.sweep = now.Add(t.ttl)
	for text, tok := range t.byText {
		if now.After(tok.end) {
			delete(t.byText, text)
		}
	}
}

// Forget implements kv.Tokens.
func (t *Tokens) Forget(user string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for text, tok := range t.byText {
		if tok.user == user {
			delete(t.byText, text)
		}
	}
}

// ForgetAll implements kv.Tokens.
func (t *Tokens) ForgetAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.byText)
}

// user is whom a token stands for. It holds longer by being used.
func (t *Tokens) user(text string) (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	tok, ok := t.byText[text]
	now := time.Now()
	if !ok || now.After(tok.end) {
		return "", false
	}
	tok.end = now.Add(t.ttl)
	t.byText[text] = tok
	return tok.user, true
}

// indexOf is the log index of the entry that gave a token, which is the part
// behind the dot.
func indexOf(text string) (index uint64, ok bool) {
	_, after, found := strings.Cut(text, ".")
	index, err := strconv.ParseUint(after, 10, 64)
	return index, found && err == nil
}

// randomText is the part of a token that can't be guessed, as long as etcd's.
func randomText() (string, error) {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	text := make([]byte, 16)
	for i := range text {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(letters))))
		if err != nil {
			return "", err
		}
		text[i] = letters[n.Int64()]
	}
	return string(text), nil
}
