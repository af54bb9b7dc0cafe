//! Every way of renaming that the derive takes, beside what `serde_json` makes of it.

use std::fmt::Debug;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::schema::{Budget, TypeSchema, from_json, to_json};
use crate::{Schema, SchemaTrait};

fn same<T: Serialize + DeserializeOwned + SchemaTrait + Debug + 'static>(value: &T) {
    let schema = TypeSchema::of::<T>();
    let bytes = postcard::to_allocvec(value).unwrap();
    let json = to_json(&schema, &bytes, &Budget::default()).unwrap();
    assert_eq!(json, serde_json::to_string(value).unwrap());
    assert_eq!(
        from_json(&schema, &json, &Budget::default()).unwrap(),
        bytes
    );
}

macro_rules! renamed {
    ($($module:ident $case:literal)*) => {$(
        #[expect(nonstandard_style, reason = "odd names are what is tested")]
        mod $module {
            use super::*;

            #[derive(Debug, Default, Serialize, Deserialize, Schema)]
            #[serde(rename_all = $case)]
            struct Fields {
                plain: u8,
                two_words: u8,
                _leading: u8,
                twice__under: u8,
                trailing_: u8,
                number_2x: u8,
                r#type: u8,
                #[serde(rename = "Fixed Name")]
                fixed: u8,
                größe_über: u8,
            }

            #[derive(Debug, Serialize, Deserialize, Schema)]
            #[serde(rename_all = $case, rename_all_fields = $case)]
            enum Variants {
                Plain,
                TwoWords(u8),
                HTTPServer { first_field: u8 },
                With_Under(u8, u8),
                #[serde(rename_all = "camelCase")]
                Own { first_field: u8 },
                #[serde(rename = "fixed name")]
                Fixed,
                GrößeÜber,
            }

            #[test]
            fn fields_and_variants() {
                same(&Fields::default());
                same(&Variants::Plain);
                same(&Variants::TwoWords(1));
                same(&Variants::HTTPServer { first_field: 1 });
                same(&Variants::With_Under(1, 2));
                same(&Variants::Own { first_field: 1 });
                same(&Variants::Fixed);
                same(&Variants::GrößeÜber);
            }
        }
    )*};
}

renamed! {
    lower "lowercase"
    upper "UPPERCASE"
    pascal "PascalCase"
    camel "camelCase"
    snake "snake_case"
    screaming_snake "SCREAMING_SNAKE_CASE"
    kebab "kebab-case"
    screaming_kebab "SCREAMING-KEBAB-CASE"
}

#[derive(Debug, Serialize, Deserialize, Schema)]
#[serde(transparent)]
struct Transparent {
    inner: Option<Vec<u8>>,
}

#[derive(Debug, Serialize, Deserialize, Schema)]
struct Generic<T, const N: usize = 2>
where
    T: Clone,
{
    items: Vec<T>,
    #[serde(bound(deserialize = "T: Deserialize<'de>"))]
    phantom: std::marker::PhantomData<T>,
    rest: [u8; 2],
}

#[derive(Debug, Serialize, Deserialize, Schema)]
enum Empty {}

#[test]
fn transparent_generic_and_empty_types() {
    same(&Transparent {
        inner: Some(vec![1, 2]),
    });
    same(&Generic::<String> {
        items: vec!["a".into()],
        phantom: std::marker::PhantomData,
        rest: [1, 2],
    });
    same(&None::<Empty>);
    assert_eq!(TypeSchema::of::<Empty>().to_string(), "enum Empty { }");
}
