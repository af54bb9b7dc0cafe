//! A list whose middle can be taken out at once: a connection's queue keeps the order of all its subscriptions, while
//! each of them may lose its own oldest.

/// Where an element is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(u32);

#[derive(Debug)]
struct Node<T> {
    value: T,
    before: Option<Key>,
    after: Option<Key>,
}

/// Doubly linked, in one allocation that is given back when the list is empty.
#[derive(Debug)]
pub(super) struct List<T> {
    nodes: Vec<Option<Node<T>>>,
    free: Vec<u32>,
    head: Option<Key>,
    tail: Option<Key>,
}

/// Nodes that an empty list may keep room for: an idle connection holds next to nothing.
const KEPT: usize = 4;

impl<T> Default for List<T> {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            free: Vec::new(),
            head: None,
            tail: None,
        }
    }
}

impl<T> List<T> {
    pub(super) fn front(&self) -> Option<Key> {
        self.head
    }

    pub(super) fn after(&self, key: Key) -> Option<Key> {
        self.node(key).after
    }

    pub(super) fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    pub(super) fn get(&self, key: Key) -> &T {
        &self.node(key).value
    }

    pub(super) fn get_mut(&mut self, key: Key) -> &mut T {
        &mut self.node_mut(key).value
    }

    pub(super) fn push_back(&mut self, value: T) -> Key {
        let node = Node {
            value,
            before: self.tail,
            after: None,
        };
        let key = match self.free.pop() {
            Some(index) => {
                self.nodes[index as usize] = Some(node);
                Key(index)
            }
            None => {
                let index = u32::try_from(self.nodes.len()).expect("queues are bounded far below");
                self.nodes.push(Some(node));
                Key(index)
            }
        };
        match self.tail {
            Some(tail) => self.node_mut(tail).after = Some(key),
            None => self.head = Some(key),
        }
        self.tail = Some(key);
        key
    }

    pub(super) fn remove(&mut self, key: Key) -> T {
        let node = self.nodes[key.0 as usize]
            .take()
            .expect("keys are of elements in the list");
        match node.before {
            Some(before) => self.node_mut(before).after = node.after,
            None => self.head = node.after,
        }
        match node.after {
            Some(after) => self.node_mut(after).before = node.before,
            None => self.tail = node.before,
        }
        if self.is_empty() {
            self.nodes.clear();
            self.nodes.shrink_to(KEPT);
            self.free.clear();
            self.free.shrink_to(KEPT);
        } else {
            self.free.push(key.0);
        }
        node.value
    }

    fn node(&self, key: Key) -> &Node<T> {
        self.nodes[key.0 as usize]
            .as_ref()
            .expect("keys are of elements in the list")
    }

    fn node_mut(&mut self, key: Key) -> &mut Node<T> {
        self.nodes[key.0 as usize]
            .as_mut()
            .expect("keys are of elements in the list")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_leave_from_anywhere_and_the_order_stays() {
        let mut list = List::default();
        let keys: Vec<_> = (0..6).map(|n| list.push_back(n)).collect();
        assert_eq!(list.remove(keys[3]), 3);
        assert_eq!(list.remove(keys[0]), 0);
        assert_eq!(list.remove(keys[5]), 5);
        list.push_back(9);
        let mut rest = Vec::new();
        while let Some(key) = list.front() {
            rest.push(list.remove(key));
        }
        assert_eq!(rest, [1, 2, 4, 9]);
        assert!(list.nodes.capacity() <= KEPT.max(4));
    }
}
