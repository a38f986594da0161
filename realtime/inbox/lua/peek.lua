-- peek answers {epoch, floor, last}.
return {epoch, floor, last}
