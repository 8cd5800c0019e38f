"""What runs experiments on a container engine: the engine, its images, pods and client links."""
