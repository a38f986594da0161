-- probe returns the epoch of this primary. It uses no keys.
return primary_epoch()
