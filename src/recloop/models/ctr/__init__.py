"""Models of clicks and likes: whether this user will like this item. Arrays in, numbers out."""
