-- peek returns {epoch, floor, last}.
save()
commit(false)
return {epoch, floor, last}
