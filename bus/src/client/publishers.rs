//! Who publishes what arrives here: the origin behind each connection number, and the types behind each index.
//!
//! Readers decode later than the owning task receives, when the hub may have told more or told to forget. So each run carries
//! its publisher as it was known then; knowing more makes a new value, shared until the next change.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use crate::{Origin, Topic, TypeSchema};

/// A publisher, as known at some moment.
#[derive(Clone, Debug)]
pub(super) struct Publisher {
    pub(super) origin: Arc<Origin>,
    types: HashMap<u32, Arc<PublishedType>>,
}

/// A type a publisher announced.
#[derive(Debug)]
pub(super) struct PublishedType {
    /// The topic announced with it.
    pub(super) topic: Option<Topic>,
    encoded: Vec<u8>,
    decoded: OnceLock<Result<TypeSchema, String>>,
}

impl Publisher {
    pub(super) fn published(&self, index: u32) -> Option<&Arc<PublishedType>> {
        self.types.get(&index)
    }
}

impl PublishedType {
    /// The type; scanned when first asked for, as typed readers never do.
    pub(super) fn schema(&self) -> Result<&TypeSchema, String> {
        self.decoded
            .get_or_init(|| TypeSchema::decode(&self.encoded).map_err(|e| e.to_string()))
            .as_ref()
            .map_err(Clone::clone)
    }

    /// Whether it is this very type.
    pub(super) fn is(&self, schema: &TypeSchema) -> bool {
        self.encoded == schema.encoded()
    }
}

/// The publishers the hub has told of. As many as it says: it tells to forget those that went.
#[derive(Debug, Default)]
pub(super) struct Publishers(HashMap<u64, Arc<Publisher>>);

impl Publishers {
    pub(super) fn get(&self, conn: u64) -> Option<&Arc<Publisher>> {
        self.0.get(&conn)
    }

    pub(super) fn origin_is(&mut self, conn: u64, origin: Origin) {
        let publisher = Publisher {
            origin: Arc::new(origin),
            types: HashMap::new(),
        };
        self.0.insert(conn, Arc::new(publisher));
    }

    /// Notes a type; false if nothing is known of the publisher, or the topic is none.
    pub(super) fn type_is(&mut self, conn: u64, index: u32, topic: &str, schema: Vec<u8>) -> bool {
        let Some(publisher) = self.0.get_mut(&conn) else {
            return false;
        };
        let topic = match topic {
            "" => None,
            text => match Topic::new(text) {
                Ok(topic) => Some(topic),
                Err(_) => return false,
            },
        };
        let published = PublishedType {
            topic,
            encoded: schema,
            decoded: OnceLock::new(),
        };
        Arc::make_mut(publisher)
            .types
            .insert(index, Arc::new(published));
        true
    }

    pub(super) fn forget(&mut self, conn: u64) {
        self.0.remove(&conn);
    }
}
