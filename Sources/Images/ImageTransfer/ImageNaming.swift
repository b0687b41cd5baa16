public import OCIImages
import Registry

/// What the store calls an image that somebody else has named.
public enum ImageNaming {
    /// A name that says its registry is written out: `localhost:5000/tool` is `localhost:5000/tool:latest`. Another stays
    /// as it is.
    public static func stored(_ name: String) -> String {
        guard ImageReference.namesRegistry(name), let reference = try? ImageReference(name) else { return name }
        return "\(reference)"
    }

    /// Those of an archived image, each once.
    public static func stored(_ image: ArchivedImage) -> [String] {
        var names: [String] = []
        for name in image.names {
            let text = stored(name)
            if !names.contains(text) { names.append(text) }
        }
        return names
    }

    private static func stored(_ name: ArchivedImage.Name) -> String {
        guard name.isReference, let reference = try? ImageReference(name.text) else { return stored(name.text) }
        // What was saved as `box` is `box` again.
        if let shorter = name.shorter, (try? ImageReference(shorter)) == reference { return stored(shorter) }
        return "\(reference)"
    }
}
