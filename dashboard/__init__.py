"""Pages over run directories. Reads them; runs nothing, and needs no container engine."""
