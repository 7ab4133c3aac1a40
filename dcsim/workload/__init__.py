"""Jobs: what they cost (profiles), where they come from (generator, traces), and the table a run reads."""
