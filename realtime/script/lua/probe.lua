-- probe returns {epoch of this primary, its time in ms}. It uses no keys.
return {primary_epoch(), string.format('%.0f', now_ms)}
