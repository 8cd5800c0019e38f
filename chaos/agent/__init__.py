"""What runs beside each database inside its pod, and the controller's end of the line to it."""
