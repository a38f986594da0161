-- peek returns {epoch, floor, last}. It forgets what is marked.
forget_marked()
save()
commit(false)
return {epoch, floor, last}
