"""What every system must do, played on a running one: `aftershock conformance`."""
