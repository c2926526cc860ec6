// Package recovery is surgery on the data directory of a member that doesn't
// run: it looks into one, and it re-forms a cluster around one whose majority
// was lost for good. And it makes a directory with which a new cluster begins,
// from the content of another: see [Restore].
//
// It takes the directory's lock, so that it is refused while the node runs. It
// knows nothing of the state machine, and doesn't open it: what it does is in
// the log and in the state document, and the member itself applies it when it
// starts. It decides nothing: which member is taken, and that the others are
// lost, is for people to say.
//
// # Re-forming
//
// The cluster goes on with what the one member's log holds, all of it: entries
// that nobody knew to be committed are kept, since they may have been, and since
// some client may have been told so. Behind them an entry is written that leaves
// that member alone, as the only voter, and begins another generation. It is
// committed by decree. Configuration changes in the log before it are applied
// before it and then overruled.
//
// Others that still have a disk of the old generation are refused, and end, as
// soon as they meet a member of the new one. Until they do, they may well be a
// majority of the old cluster: no software can know. That is why it takes an
// operator who knows.
//
// # Crashes
//
// What is decided is one replacement of the state document, and the entry is
// one record of the log. After a crash in between, the directory is the new one
// already: the next start, or the next run of this package, writes the entry
// before it does anything else.
package recovery
