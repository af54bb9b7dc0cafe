//! What is generated, and what is refused with which words.

mod accepted;
mod refused;

use proc_macro2::TokenStream;
use syn::DeriveInput;

type Expand = fn(&DeriveInput) -> syn::Result<TokenStream>;

/// What `expand` makes of `input`, without spaces.
fn expanded(expand: Expand, input: TokenStream) -> String {
    let tokens = expand(&syn::parse2(input).unwrap()).unwrap();
    syn::parse2::<syn::File>(tokens.clone()).expect("what is generated is Rust");
    tokens.to_string().replace(' ', "")
}

/// The words with which `expand` refuses `input`, one line for each error.
fn refusal(expand: Expand, input: TokenStream) -> String {
    let error = expand(&syn::parse2(input).unwrap()).expect_err("this should be refused");
    let compile_error = error.to_compile_error().to_string();
    assert!(compile_error.contains("compile_error"), "{compile_error}");
    let messages: Vec<String> = error.into_iter().map(|e| e.to_string()).collect();
    messages.join("\n")
}
