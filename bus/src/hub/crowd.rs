//! Connections by uid, counted: one user's programs can't take up all there may be.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

/// Who is in, by uid.
#[derive(Clone, Debug, Default)]
pub(super) struct Crowd(Rc<RefCell<HashMap<u32, usize>>>);

/// One connection's place in it, given back when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    crowd: Crowd,
    uid: u32,
}

impl Crowd {
    /// A place for one more of `uid`.
    ///
    /// # Errors
    /// If it has `most` already.
    pub(super) fn enter(&self, uid: u32, most: usize) -> Result<Seat, String> {
        let mut crowd = self.0.borrow_mut();
        let count = crowd.entry(uid).or_default();
        if *count >= most {
            return Err(format!(
                "uid {uid} has {most} connections, and no more may (bus.limits.connections_per_uid)"
            ));
        }
        *count += 1;
        drop(crowd);
        Ok(Seat {
            crowd: self.clone(),
            uid,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut crowd = self.crowd.0.borrow_mut();
        if let Some(count) = crowd.get_mut(&self.uid) {
            *count -= 1;
            if *count == 0 {
                crowd.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_uid_has_its_own_bound_and_gets_its_places_back() {
        let crowd = Crowd::default();
        let own: Vec<Seat> = (0..2).map(|_| crowd.enter(1000, 2).unwrap()).collect();
        assert!(crowd.enter(1000, 2).unwrap_err().contains("uid 1000 has 2"));
        let root = crowd.enter(0, 2).expect("root is counted apart");
        drop(own);
        let again = crowd.enter(1000, 1).expect("the places are free");
        drop((root, again));
        assert!(crowd.0.borrow().is_empty());
    }
}
