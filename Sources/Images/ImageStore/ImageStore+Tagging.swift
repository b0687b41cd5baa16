extension ImageStore {
    /// Gives an image one more name; an image that had this name loses it, and goes unless it has another.
    @discardableResult
    public func tag(_ reference: String, as name: String) throws(ImageError) -> StoredImage {
        try ImageNames.check(name)
        _ = try resolve(reference)
        return try whileLocked { () throws(ImageError) in
            var index = try index()
            // It may have got lost, or another image, in between.
            let digest = try digest(of: reference, in: index)
            _ = try image(digest, index)
            index.names[name] = digest.description
            try write(index)
            collectLeftovers(keeping: index)
            return try image(digest, index)
        }
    }
}
