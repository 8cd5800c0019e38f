"""What a topology costs a month: a dated price book × what a run used and sent."""
