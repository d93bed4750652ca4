"""A site without pages: what a React application of another origin asks and talks to."""
