-- peek returns {epoch, floor, last}.
save()
return {epoch, floor, last}
