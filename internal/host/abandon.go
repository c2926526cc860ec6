package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/musterhq/muster/internal/wire"
)

// AbandonGenesis has the node give up the genesis that it accepted. While the
// named ones are being asked it waits for that, until ctx ends.
// Errors: ErrRefused, ErrStopped, ErrUnknownOutcome.
func (h *Host) AbandonGenesis(ctx context.Context, gone []string) error {
	for {
		answer := make(chan error, 1)
		if !h.call(func() { answer <- h.m.AbandonGenesis(gone) }) {
			return h.stoppedErr()
		}
		var err error
		select {
		case err = <-answer:
		case <-h.ctx.Done():
			return fmt.Errorf("%w: %w", ErrUnknownOutcome, h.stoppedErr())
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrUnknownOutcome, ctx.Err())
		}
		var no *wire.Nack
		switch {
		case err == nil:
			return nil
		case !errors.As(err, &no):
			return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
		case no.Code == "stopped":
			return ErrStopped
		case no.Code != "being_asked":
			return fmt.Errorf("%w: %s", ErrRefused, no.Reason)
		}
		select {
		case <-time.After(h.cfg.Heartbeat):
		case <-h.ctx.Done():
			return h.stoppedErr()
		case <-ctx.Done():
			return fmt.Errorf("%w: %s", ErrRefused, no.Reason)
		}
	}
}
