//! What targets share.

use edgegrad::error::Error;

/// What was read, if it was not refused as it should be.
pub fn accepted<T>(read: Result<T, Error>) -> Option<T> {
    match read {
        Ok(read) => Some(read),
        Err(e) => {
            assert!(!e.to_string().contains('\n') && !e.help().is_empty());
            None
        }
    }
}
