//! The identifiers of a source text.

use ra_ap_rustc_lexer::{strip_shebang, tokenize, FrontmatterAllowed, TokenKind};

/// All identifiers in order. To the lexer a keyword is one too. A raw `r#type` yields `type`:
/// that is its name, and what rustc's own interner holds.
pub fn names(text: &str) -> Box<[&str]> {
    let mut rest = &text[strip_shebang(text).unwrap_or(0)..];
    let mut names = Vec::new();
    for token in tokenize(rest, FrontmatterAllowed::Yes) {
        let (lexeme, tail) = rest.split_at(token.len as usize);
        rest = tail;
        match token.kind {
            TokenKind::Ident => names.push(lexeme),
            TokenKind::RawIdent => names.push(&lexeme["r#".len()..]),
            _ => {}
        }
    }
    names.into_boxed_slice()
}
