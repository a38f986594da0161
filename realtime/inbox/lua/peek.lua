-- peek returns {epoch, floor, last}.
return {epoch, floor, last}
