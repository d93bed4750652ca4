//! Long text in pieces that one event may carry.

/// Cuts `text` into pieces of at most `max_bytes`, between characters only. Joined again they are the text.
pub(super) fn utf8_pieces(text: &str, max_bytes: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let cut = match rest.floor_char_boundary(max_bytes) {
            // Not even one character fits: it is sent whole rather than never.
            0 => rest.chars().next().map_or(rest.len(), char::len_utf8),
            cut => cut,
        };
        let (piece, tail) = rest.split_at(cut);
        rest = tail;
        Some(piece)
    })
}
