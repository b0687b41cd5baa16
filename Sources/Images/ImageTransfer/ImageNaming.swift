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
            let text =
                name.isReference ? (try? ImageReference(name.text)).map { "\($0)" } ?? name.text : stored(name.text)
            if !names.contains(text) { names.append(text) }
        }
        return names
    }
}
