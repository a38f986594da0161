-- probe answers which primary this is. No keys.
return shard()
